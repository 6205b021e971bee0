"""What a problem is: where it comes from, how it is asked, and its ground truth. Grading is in verl_ext.grading."""
