"""What developers run: the environment, the private PostgreSQL and RabbitMQ, the demo, the checks."""
