import os

from django.http import JsonResponse
from django.urls import path

from shop.news import read


def index(request):
    return JsonResponse({"pid": os.getpid(), "read": read})


urlpatterns = [path("", index)]
