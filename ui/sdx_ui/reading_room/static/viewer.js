// The slice viewer: PNG slices from the server on a canvas, HU under the cursor, windows, zoom, ruler, letters, findings' boxes.

const AHEAD = 6; // slices fetched before they are asked for
const KEPT = 160; // decoded slices kept
const RAW_AFTER_MS = 120; // a slice that stands so long gets its HU
const AXES = { axial: [0, 1, 2], coronal: [1, 0, 2], sagittal: [2, 0, 1] }; // voxel axis of: slice, down, across
const COLOURS = { yes: "#ff5a5f", uncertain: "#ffb020", no: "#7d93a3" };

export class Viewer {
  constructor(elements, api, on) {
    Object.assign(this, elements); // canvas, stage, scroll, readout, place
    this.api = api;
    this.on = on; // { cursor(voxel), chosen(finding id), error(text) }
    this.ruling = false;
    this.opacity = 0.7;
    this._listen();
    new ResizeObserver(() => this.draw()).observe(this.stage);
  }

  open(id, layout, windows) {
    Object.assign(this, { id, layout, windows, findings: [], chosen: null, mark: null });
    this.pictures = new Map();
    this.index = Object.fromEntries(Object.entries(layout.planes).map(([name, plane]) => [name, Math.floor(plane.count / 2)]));
    this.window = { centre: windows[0].centre_hu, width: windows[0].width_hu };
    this.setPlane("axial");
  }

  show(findings) { // [{ id, present, box: [[slice, row, column], [..]], key }]
    this.findings = findings;
    this.draw();
  }

  setPlane(plane) {
    this.plane = plane;
    this.view = { zoom: 1, x: 0, y: 0 };
    this.rule = null;
    this.scroll.max = this.layout.planes[plane].count - 1;
    this.go(this.index[plane]);
  }

  go(index, step = 1) {
    const last = this.layout.planes[this.plane].count - 1;
    this.index[this.plane] = Math.min(last, Math.max(0, index));
    this.scroll.value = this.index[this.plane];
    this.raw = null;
    this.rule = null;
    this._fetchRaw();
    this.draw();
    for (let near = 1; near <= AHEAD; near += 1) {
      for (const at of near <= 2 ? [index + near * step, index - near * step] : [index + near * step]) if (at >= 0 && at <= last) this._picture(at);
    }
  }

  setWindow(centre, width) {
    this.window = { centre: Math.round(Math.max(-2000, Math.min(3000, centre))), width: Math.round(Math.max(1, Math.min(8000, width))) };
    this.draw();
  }

  choose(id, jump) {
    this.chosen = id;
    const finding = this.findings.find((each) => each.id === id);
    if (finding && jump) {
      const axis = AXES[this.plane][0];
      const middle = Math.round((finding.box[0][axis] + finding.box[1][axis]) / 2);
      this.go(this.plane === "axial" ? finding.key : middle);
    } else this.draw();
  }

  // Pictures

  _key(index) { return `${this.plane}/${index}.png?centre=${this.window.centre}&width=${this.window.width}`; }

  _picture(index) {
    const key = this._key(index);
    const there = this.pictures.get(key);
    if (there) return there;
    const entry = { image: null };
    this.pictures.set(key, entry);
    if (this.pictures.size > KEPT) this.pictures.delete(this.pictures.keys().next().value);
    const id = this.id;
    fetch(`${this.api}/cases/${id}/slices/${key}`)
      .then(async (answer) => {
        if (!answer.ok) throw new Error((await answer.json()).message);
        entry.image = await createImageBitmap(await answer.blob());
        if (id === this.id && key === this._key(this.index[this.plane])) this.draw();
      })
      .catch((error) => { this.pictures.delete(key); this.on.error(error.message); });
    return entry;
  }

  _fetchRaw() {
    clearTimeout(this.timer);
    const address = `${this.api}/cases/${this.id}/slices/${this.plane}/${this.index[this.plane]}.hu`;
    const wanted = `${this.id}/${this.plane}/${this.index[this.plane]}`;
    this.timer = setTimeout(async () => {
      const answer = await fetch(address).catch(() => null);
      if (!answer || !answer.ok) return;
      const raw = new Int16Array(await answer.arrayBuffer());
      if (wanted === `${this.id}/${this.plane}/${this.index[this.plane]}`) { this.raw = raw; this._tell(); }
    }, RAW_AFTER_MS);
  }

  // Geometry: picture pixels (down, across) <-> screen, <-> voxels

  _size() {
    const [, down, across] = AXES[this.plane].map((axis) => this.layout.shape[axis]);
    return { down, across, mm: this.layout.planes[this.plane].pixel_mm };
  }

  _scale() { // screen pixels of a mm, and where the picture's corner lies
    const { down, across, mm } = this._size();
    const { width, height } = this.canvas;
    const scale = Math.min(width / (across * mm[1]), height / (down * mm[0])) * this.view.zoom;
    return { scale, left: width / 2 + this.view.x - (across * mm[1] * scale) / 2, top: height / 2 + this.view.y - (down * mm[0] * scale) / 2 };
  }

  _at(event) { // picture pixel under the pointer, fractions
    const box = this.canvas.getBoundingClientRect();
    const ratio = this.canvas.width / box.width;
    const { scale, left, top } = this._scale();
    const { mm } = this._size();
    return { across: ((event.clientX - box.left) * ratio - left) / (mm[1] * scale), down: ((event.clientY - box.top) * ratio - top) / (mm[0] * scale) };
  }

  _inside(at) {
    const { down, across } = this._size();
    return at.down >= 0 && at.across >= 0 && at.down < down && at.across < across;
  }

  _voxel(at) {
    const voxel = [0, 0, 0];
    const [slice, down, across] = AXES[this.plane];
    voxel[slice] = this.index[this.plane];
    voxel[down] = this.plane === "axial" ? Math.floor(at.down) : this.layout.shape[0] - 1 - Math.floor(at.down);
    voxel[across] = Math.floor(at.across);
    return voxel;
  }

  _rect(box) { // [top, bottom, left, right] of a voxel box in picture pixels, edges included
    const [, down, across] = AXES[this.plane];
    const last = this.layout.shape[0] - 1;
    const rows = this.plane === "axial" ? [box[0][down], box[1][down]] : [last - box[1][down], last - box[0][down]];
    return [rows[0], rows[1] + 1, box[0][across], box[1][across] + 1];
  }

  _crossing() {
    const axis = AXES[this.plane][0];
    const at = this.index[this.plane];
    return this.findings.filter((each) => each.box[0][axis] <= at && at <= each.box[1][axis]);
  }

  // Drawing

  draw() {
    if (!this.layout) return;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(this.stage.clientWidth * ratio), Math.round(this.stage.clientHeight * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const pen = this.canvas.getContext("2d");
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, width, height);
    const { image } = this._picture(this.index[this.plane]);
    const { scale, left, top } = this._scale();
    const { down, across, mm } = this._size();
    const from = image || this.last?.[this.plane];
    if (from) pen.drawImage(from, left, top, across * mm[1] * scale, down * mm[0] * scale);
    if (image) this.last = { [this.plane]: image };
    const point = (row, column) => [left + column * mm[1] * scale, top + row * mm[0] * scale];
    this._drawFindings(pen, point, ratio);
    this._drawMark(pen, point, ratio);
    this._drawRule(pen, point, ratio);
    this._drawLetters(pen, width, height, ratio);
    this._tell();
    this.stage.dataset.drawn = image ? this._key(this.index[this.plane]) : "";
  }

  _drawFindings(pen, point, ratio) {
    pen.font = `${12 * ratio}px system-ui`;
    for (const finding of this._crossing()) {
      const [top, bottom, left, right] = this._rect(finding.box);
      const [[x0, y0], [x1, y1]] = [point(top, left), point(bottom, right)];
      const chosen = finding.id === this.chosen;
      pen.globalAlpha = this.opacity;
      pen.strokeStyle = pen.fillStyle = chosen ? "#4cc3ff" : COLOURS[finding.present];
      pen.lineWidth = (chosen ? 3 : 1.5) * ratio;
      pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
      pen.globalAlpha = this.opacity * 0.16;
      pen.fillRect(x0, y0, x1 - x0, y1 - y0);
      pen.globalAlpha = Math.min(1, this.opacity * 1.4);
      pen.fillText(finding.id, x0 + 2 * ratio, y0 - 3 * ratio);
    }
    pen.globalAlpha = 1;
  }

  _drawMark(pen, point, ratio) {
    if (!this.mark || this.mark[AXES[this.plane][0]] !== this.index[this.plane]) return;
    const [top, bottom, left, right] = this._rect([this.mark, this.mark]);
    const [x, y] = point((top + bottom) / 2, (left + right) / 2);
    pen.strokeStyle = "#3ddc84";
    pen.lineWidth = 1.5 * ratio;
    pen.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) { pen.moveTo(x + dx * 4 * ratio, y + dy * 4 * ratio); pen.lineTo(x + dx * 11 * ratio, y + dy * 11 * ratio); }
    pen.stroke();
  }

  _drawRule(pen, point, ratio) {
    if (!this.rule) return;
    const [[x0, y0], [x1, y1]] = [point(this.rule.from.down, this.rule.from.across), point(this.rule.to.down, this.rule.to.across)];
    pen.strokeStyle = pen.fillStyle = "#ffe14d";
    pen.lineWidth = 1.5 * ratio;
    pen.beginPath();
    pen.moveTo(x0, y0);
    pen.lineTo(x1, y1);
    pen.stroke();
    pen.font = `${14 * ratio}px system-ui`;
    pen.fillText(`${this.ruled_mm.toFixed(1)} mm`, x1 + 6 * ratio, y1);
  }

  get ruled_mm() {
    const { mm } = this._size();
    return this.rule ? Math.hypot((this.rule.to.down - this.rule.from.down) * mm[0], (this.rule.to.across - this.rule.from.across) * mm[1]) : 0;
  }

  _drawLetters(pen, width, height, ratio) {
    const [top, bottom, left, right] = this.layout.planes[this.plane].letters;
    pen.font = `700 ${16 * ratio}px system-ui`;
    pen.textAlign = "center";
    pen.lineWidth = 3 * ratio;
    pen.strokeStyle = "#000";
    pen.fillStyle = "#ffd24d";
    for (const [letter, x, y] of [[top, width / 2, 18 * ratio], [bottom, width / 2, height - 26 * ratio], [left, 12 * ratio, height / 2], [right, width - 12 * ratio, height / 2]]) {
      pen.strokeText(letter, x, y);
      pen.fillText(letter, x, y);
    }
    pen.textAlign = "start";
  }

  _tell() {
    const at = this.index[this.plane];
    const { z_mm, origin_lps_mm, spacing_mm } = this.layout;
    const mm = { axial: () => z_mm[at], coronal: () => origin_lps_mm[1] + at * spacing_mm[1], sagittal: () => origin_lps_mm[0] + at * spacing_mm[2] }[this.plane]();
    const name = { axial: "z", coronal: "y", sagittal: "x" }[this.plane];
    const apart = spacing_mm[AXES[this.plane][0]];
    this.place.textContent = `${this.plane} ${at + 1}/${this.layout.planes[this.plane].count}  ${name} ${mm.toFixed(1)} mm\n${this.thickness && this.plane === "axial" ? `${this.thickness} mm thick, ` : ""}${apart.toFixed(2)} mm apart\nC ${this.window.centre} W ${this.window.width}`;
    if (!this.under || !this._inside(this.under)) { this.readout.textContent = ""; return; }
    const value = this.raw ? this.raw[Math.floor(this.under.down) * this._size().across + Math.floor(this.under.across)] : null;
    this.readout.textContent = `${value === null ? "…" : value} HU`;
  }

  // What hands do

  _listen() {
    this.scroll.addEventListener("input", () => this._step(Number(this.scroll.value) - this.index[this.plane]));
    this.stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.ctrlKey) this._zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, event);
      else this._step(event.deltaY > 0 ? -1 : 1);
    }, { passive: false });
    document.addEventListener("keydown", (event) => this._key_down(event));
    this.stage.addEventListener("pointerdown", (event) => this._down(event));
    this.stage.addEventListener("pointermove", (event) => this._move(event));
    for (const name of ["pointerup", "pointercancel"]) this.stage.addEventListener(name, (event) => this._up(event));
    this.stage.addEventListener("pointerleave", () => { this.under = null; if (this.layout) this._tell(); });
    this.hands = new Map();
  }

  _step(by) { if (by) this.go(this.index[this.plane] + by, Math.sign(by)); }

  _key_down(event) {
    const { target } = event;
    if (!this.stage.clientHeight || event.ctrlKey || event.altKey || event.metaKey || target.isContentEditable || target.matches("input, textarea, select")) return;
    const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 };
    const preset = this.windows.find((each) => each.key === event.key);
    if (target.closest("#side") && !preset) return; // there the arrows scroll the page
    if (steps[event.key]) this._step(steps[event.key]);
    else if (event.key === "Home" || event.key === "End") this.go(event.key === "Home" ? 0 : 1e9);
    else if (preset) this.setWindow(preset.centre_hu, preset.width_hu);
    else return;
    event.preventDefault();
  }

  _down(event) {
    this.stage.focus({ preventScroll: true });
    this.stage.setPointerCapture(event.pointerId);
    this.hands.set(event.pointerId, event);
    const at = this._at(event);
    this.drag = { x: event.clientX, y: event.clientY, ...this.window, moved: false };
    if (this.ruling) this.rule = { from: at, to: at };
  }

  _move(event) {
    if (!this.layout) return;
    this.under = this._at(event);
    const before = this.hands.get(event.pointerId);
    if (!before) return this._tell();
    const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
    if (Math.hypot(event.clientX - this.drag.x, event.clientY - this.drag.y) > 4) this.drag.moved = true;
    if (this.hands.size === 2) this._pinch(event, dx, dy);
    else if (this.ruling && this.rule) this.rule.to = this.under;
    else if (event.shiftKey) this._pan(dx, dy);
    else if (event.pointerType === "touch") { if (Math.abs(event.clientY - this.drag.y) > 9) { this._step(event.clientY < this.drag.y ? 1 : -1); this.drag.y = event.clientY; } } // a finger scrolls
    else if (this.drag.moved) this.setWindow(this.drag.centre + (event.clientY - this.drag.y) * 2, this.drag.width + (event.clientX - this.drag.x) * 4);
    this.hands.set(event.pointerId, event);
    this.draw();
  }

  _up(event) {
    const still = this.drag && !this.drag.moved && this.hands.size === 1;
    this.hands.delete(event.pointerId);
    if (event.type !== "pointerup" || !still || this.ruling) return;
    const at = this._at(event);
    if (!this._inside(at)) return;
    this.mark = this._voxel(at);
    const hit = this._crossing().filter((each) => { const [top, bottom, left, right] = this._rect(each.box); return at.down >= top && at.down <= bottom && at.across >= left && at.across <= right; });
    const area = (each) => { const [top, bottom, left, right] = this._rect(each.box); return (bottom - top) * (right - left); };
    if (hit.length) this.on.chosen(hit.sort((one, other) => area(one) - area(other))[0].id);
    this.on.cursor(this.mark);
    this.draw();
  }

  _pan(dx, dy) {
    const ratio = window.devicePixelRatio || 1;
    this.view.x += dx * ratio;
    this.view.y += dy * ratio;
  }

  _pinch(event, dx, dy) {
    const other = [...this.hands.entries()].find(([id]) => id !== event.pointerId)[1];
    const before = this.hands.get(event.pointerId);
    const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    this._zoom(apart(event) / Math.max(1, apart(before)), { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 });
    this._pan(dx / 2, dy / 2);
    this.drag.moved = true;
  }

  _zoom(by, event) {
    const before = this._at(event);
    this.view.zoom = Math.max(0.5, Math.min(20, this.view.zoom * by));
    const after = this._at(event);
    const { scale } = this._scale();
    const { mm } = this._size();
    this.view.x += (after.across - before.across) * mm[1] * scale;
    this.view.y += (after.down - before.down) * mm[0] * scale;
    this.draw();
  }

  fit() { this.view = { zoom: 1, x: 0, y: 0 }; this.draw(); }
}
