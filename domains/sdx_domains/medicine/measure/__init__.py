"""What can be measured in a chest CT without a model: start at anatomy.segment(), then measure.measure()."""
