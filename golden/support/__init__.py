"""What every other room may use: errors, command lines, files, the machine itself."""
