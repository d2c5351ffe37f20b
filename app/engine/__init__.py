"""Model calls. `base` is what the rest of the code sees; concrete engines are wired in main."""
