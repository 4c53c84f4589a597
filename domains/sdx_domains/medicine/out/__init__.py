"""What leaves: DICOM SR and SEG, PDF, FHIR. Nothing is final without a signature. Start at sr.py."""
