"""What follows from an event: who is told, what is sent to them, and what becomes of it on its way (API.md 7)."""
