"""pass@k and its intervals from files of graded answers: plain numbers in and out."""
