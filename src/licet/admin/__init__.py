"""The admin listener: what administrators see and steer. The public listener never imports it."""
