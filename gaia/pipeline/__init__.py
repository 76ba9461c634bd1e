"""What users build: plain frozen data that describes a job, and the planning of it."""
