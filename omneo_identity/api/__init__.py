"""What every endpoint shares. It knows the wire (API.md 1), and no business rule."""
