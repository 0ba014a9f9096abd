"""AWS Batch on one machine: jobs are processes."""
