"""The tables and figures of SPaR (arXiv 2412.11605), made again on whatever model is served."""
