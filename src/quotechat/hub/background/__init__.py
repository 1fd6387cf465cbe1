"""What runs beside the requests: threads that wake, deliver, tidy and watch."""
