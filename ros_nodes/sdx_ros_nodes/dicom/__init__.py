"""DICOM over the network: receiver.py takes series in, sender.py sends results, web.py does both over HTTP. Start at receiver.py."""
