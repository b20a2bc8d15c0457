"""What is known of each model before any weight is read: names, input pixels, classes."""
