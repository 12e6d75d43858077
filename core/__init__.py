"""The recogniser: photos in, outcomes out. Knows no Celery, SQLAlchemy, Redis or HTTP."""
