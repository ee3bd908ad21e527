"""ThingFlow's adapters: readers and writers of what is outside of the program. Each imports its library on use."""
