"""A lifeline as others would have it: systemd, Kubernetes, supervisord."""
