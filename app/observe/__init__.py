"""What a process tells of itself: figures, traces and log lines, and never what was said."""
