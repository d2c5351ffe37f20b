"""Actor, judge and refiner: their prompts, and the parsing of their replies."""
