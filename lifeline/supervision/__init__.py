"""Keeping one job: started, watched, told about, ended whole. Resident, so no heavy imports."""
