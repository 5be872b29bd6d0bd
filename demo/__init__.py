"""AccountSync on one machine: PostgreSQL, simulators and Airflow, with nothing but Python."""
