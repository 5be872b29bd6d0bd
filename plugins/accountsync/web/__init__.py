"""The pages that operators see inside Airflow's web UI."""
