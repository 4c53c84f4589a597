"""Procedural chest CT with known findings: a patient that does not exist, drawn on any grid. Start at scene.scene() and render.render()."""
