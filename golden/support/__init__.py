"""What every room uses: errors, command lines, whole-or-nothing files, places, requirements."""
