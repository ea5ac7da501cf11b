"""What developers run: the set-up, the private PostgreSQL and RabbitMQ, the demo, the checks."""
