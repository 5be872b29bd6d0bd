"""What operators see inside Airflow's web UI."""
