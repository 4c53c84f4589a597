// The plan view: north-up, own ship in the middle, drawn on a canvas from one state of /api/state.
// Colours carry meaning: red danger, amber attention, green chosen, cyan own ship, magenta route.

export const COLOURS = {
  ground: "#081018", ring: "#1d3340", ringText: "#6f8a9a", own: "#eaf6ff", ownVector: "#4cc3ff", route: "#c78bff",
  target: "#9fb6c4", watch: "#ffb020", danger: "#ff5a5f", chosen: "#3ddc84", option: "#48606f", limit: "#ff5a5f", text: "#d8e4ec",
};
const STAGE = ["target", "watch", "watch", "danger", "danger"];
const FONT = '12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace';
const radians = (deg) => (deg * Math.PI) / 180;

const RANGES_NM = [1.5, 3, 6, 12, 24];

// The smallest range that shows every target that matters, or the nearest one when none does.
function fitting(targets) {
  const open = targets.filter((target) => !target.past_and_clear);
  const risky = open.filter((target) => target.stage > 0);
  const nearest = Math.min(24, ...open.map((target) => target.range_nm));
  const farthest = risky.length ? Math.max(...risky.map((target) => target.range_nm)) : open.length ? nearest : 6;
  return RANGES_NM.find((range) => range >= farthest * 1.05 && range >= 3) || 24;
}

export class PlanView {
  constructor(canvas) {
    this.canvas = canvas;
    this.auto = true;
    this.rangeNm = 6;
    this.vectorMin = 6;
    this.state = null;
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  // "auto", or nautical miles.
  setRange(range) {
    this.auto = range === "auto";
    if (!this.auto) this.rangeNm = Number(range);
    this.show(this.state);
  }

  show(state) {
    this.state = state;
    if (this.auto && state && state.picture) this.rangeNm = fitting(state.picture.targets);
    this.draw();
  }

  draw() {
    const scale = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    if (this.canvas.width !== Math.round(width * scale) || this.canvas.height !== Math.round(height * scale)) {
      this.canvas.width = Math.round(width * scale);
      this.canvas.height = Math.round(height * scale);
    }
    const ink = (this.ink = this.canvas.getContext("2d"));
    ink.setTransform(scale, 0, 0, scale, 0, 0);
    ink.fillStyle = COLOURS.ground;
    ink.fillRect(0, 0, width, height);
    ink.font = FONT;
    this.centre = [width / 2, height / 2];
    this.pxPerNm = Math.min(width, height) / 2 / this.rangeNm;
    this.rings(width, height);
    const picture = this.state && this.state.picture;
    if (!picture) return this.say("waiting for the ship", width, height);
    this.own = picture.own;
    this.route(picture.route);
    this.limit(picture.cpa_limit_nm);
    this.options(picture, this.state);
    this.trails(this.state.trails || {});
    for (const target of [...picture.targets].reverse()) this.target(target);
    this.ownShip(picture.own);
    this.corners(picture, width, height);
  }

  say(text, width, height) {
    this.ink.fillStyle = COLOURS.ringText;
    this.ink.textAlign = "center";
    this.ink.fillText(text, width / 2, height / 2 + 40);
  }

  // --- geometry

  at(lat, lon) {
    const north = (lat - this.own.lat_deg) * 60;
    const east = (((lon - this.own.lon_deg + 540) % 360) - 180) * 60 * Math.cos(radians(this.own.lat_deg));
    return [this.centre[0] + east * this.pxPerNm, this.centre[1] - north * this.pxPerNm];
  }

  from([x, y], courseDeg, nm) {
    const r = nm * this.pxPerNm;
    return [x + r * Math.sin(radians(courseDeg)), y - r * Math.cos(radians(courseDeg))];
  }

  line(points, colour, width = 1, dash = []) {
    const ink = this.ink;
    ink.beginPath();
    points.forEach(([x, y], index) => (index ? ink.lineTo(x, y) : ink.moveTo(x, y)));
    ink.strokeStyle = colour;
    ink.lineWidth = width;
    ink.setLineDash(dash);
    ink.stroke();
    ink.setLineDash([]);
  }

  circle([x, y], radius, colour, width = 1, dash = []) {
    const ink = this.ink;
    ink.beginPath();
    ink.arc(x, y, radius, 0, 2 * Math.PI);
    ink.strokeStyle = colour;
    ink.lineWidth = width;
    ink.setLineDash(dash);
    ink.stroke();
    ink.setLineDash([]);
  }

  label(text, [x, y], colour, align = "left") {
    const ink = this.ink;
    ink.textAlign = align;
    ink.lineWidth = 3;
    ink.strokeStyle = COLOURS.ground;
    ink.strokeText(text, x, y);
    ink.fillStyle = colour;
    ink.fillText(text, x, y);
  }

  // --- layers

  rings(width, height) {
    const step = this.rangeNm / 4;
    const corner = Math.hypot(width, height) / 2 / this.pxPerNm;
    for (let nm = step; nm < corner; nm += step) {
      this.circle(this.centre, nm * this.pxPerNm, COLOURS.ring);
      if (nm <= this.rangeNm) this.label(`${+nm.toFixed(2)}`, [this.centre[0] + 4, this.centre[1] - nm * this.pxPerNm - 3], COLOURS.ringText);
    }
    const edge = Math.min(width, height) / 2 - 2;
    for (let deg = 0; deg < 360; deg += 10) {
      const inner = edge - (deg % 30 ? 5 : 10);
      const [s, c] = [Math.sin(radians(deg)), Math.cos(radians(deg))];
      const [x, y] = this.centre;
      this.line([[x + edge * s, y - edge * c], [x + inner * s, y - inner * c]], COLOURS.ring);
      if (deg % 30 === 0 && deg !== 180) {
        const r = edge - 20;
        this.label(String(deg).padStart(3, "0"), [x + r * s, y - r * c + 4], COLOURS.ringText, "center");
      }
    }
  }

  route(route) {
    const points = [[this.own.lat_deg, this.own.lon_deg], ...route.waypoints].map(([lat, lon]) => this.at(lat, lon));
    this.line(points, COLOURS.route, 1.5, [10, 6]);
    for (const point of points.slice(1)) this.circle(point, 5, COLOURS.route, 1.5);
  }

  limit(nm) {
    this.circle(this.centre, nm * this.pxPerNm, COLOURS.limit, 1, [3, 4]);
  }

  options(picture, state) {
    const chosen = state.order ? state.order.option_id : null;
    const proposed = state.proposal ? state.proposal.option_id : null;
    const turnedDown = state.verdict && !["accept", "clip"].includes(state.verdict.kind);
    for (const option of state.options || []) {
      const length = (option.speed_kn * 12) / 60;
      const end = this.from(this.centre, option.course_deg, length);
      const forbidden = (option.flags || []).length > 0;
      const isChosen = option.id === chosen;
      const isRejected = option.id === proposed && turnedDown;
      const colour = isRejected ? COLOURS.danger : isChosen ? COLOURS.chosen : forbidden ? "#7a3b42" : COLOURS.option;
      this.line([this.centre, end], colour, isChosen || isRejected ? 3 : 1.5, isRejected || forbidden ? [5, 5] : []);
      this.label(option.id, this.from(this.centre, option.course_deg, length + 9 / this.pxPerNm), isChosen || isRejected ? colour : COLOURS.ringText, "center");
    }
  }

  trails(trails) {
    for (const [name, points] of Object.entries(trails)) {
      this.ink.fillStyle = name === "own" ? COLOURS.ownVector : COLOURS.target;
      points.forEach(([lat, lon], index) => {
        const [x, y] = this.at(lat, lon);
        this.ink.globalAlpha = 0.15 + (0.55 * index) / points.length;
        this.ink.fillRect(x - 1, y - 1, 2, 2);
      });
      this.ink.globalAlpha = 1;
    }
  }

  target(target) {
    const place = this.at(target.lat_deg, target.lon_deg);
    const colour = target.past_and_clear ? COLOURS.target : COLOURS[STAGE[target.stage]];
    this.line([place, this.from(place, target.cog_deg, (target.sog_kn * this.vectorMin) / 60)], colour, 1.5);
    this.hull(place, target.heading_deg, colour, 9);
    if (target.stage >= 1 && target.tcpa_min > 0 && target.tcpa_min < 60) this.meeting(target, place, colour);
    if (target.stage >= 3) this.circle(place, 15, colour, 2);
    this.label(target.label, [place[0] + 12, place[1] - 8], colour);
    if (target.age_s > 30) this.label(`${Math.round(target.age_s)} s old`, [place[0] + 12, place[1] + 6], COLOURS.watch);
  }

  // Where both will be at the closest point, own ship and target holding on.
  meeting(target, place, colour) {
    const own = this.from(this.centre, this.own.cog_deg, (this.own.sog_kn * target.tcpa_min) / 60);
    const other = this.from(place, target.cog_deg, (target.sog_kn * target.tcpa_min) / 60);
    this.line([own, other], colour, 1, [2, 3]);
    this.circle(other, 3, colour);
  }

  hull([x, y], headingDeg, colour, size) {
    const ink = this.ink;
    ink.save();
    ink.translate(x, y);
    ink.rotate(radians(headingDeg));
    ink.beginPath();
    ink.moveTo(0, -size);
    ink.lineTo(size * 0.6, size * 0.7);
    ink.lineTo(-size * 0.6, size * 0.7);
    ink.closePath();
    ink.fillStyle = COLOURS.ground;
    ink.fill();
    ink.strokeStyle = colour;
    ink.lineWidth = 2;
    ink.stroke();
    ink.restore();
  }

  ownShip(own) {
    this.line([this.centre, this.from(this.centre, own.heading_deg, this.rangeNm * 2)], "#31505f", 1);
    this.line([this.centre, this.from(this.centre, own.cog_deg, (own.sog_kn * this.vectorMin) / 60)], COLOURS.ownVector, 2.5);
    this.circle(this.centre, 9, COLOURS.own, 2);
    this.circle(this.centre, 5, COLOURS.own, 2);
  }

  corners(picture, width, height) {
    const three = (deg) => String(Math.round(deg) % 360).padStart(3, "0");
    const { own } = picture;
    const left = [`RANGE ${this.rangeNm} NM`, `RINGS ${+(this.rangeNm / 4).toFixed(2)} NM`, `VECTOR ${this.vectorMin} min`, "NORTH UP"];
    const right = [`HDG ${three(own.heading_deg)}`, `COG ${three(own.cog_deg)}`, `SOG ${own.sog_kn.toFixed(1)} kn`, `ROT ${Math.round(own.rot_deg_min) || 0}°/min`];
    left.forEach((text, row) => this.label(text, [10, 20 + 16 * row], COLOURS.ringText));
    right.forEach((text, row) => this.label(text, [width - 10, 20 + 16 * row], COLOURS.text, "right"));
    const { visibility_nm: sight, wind_kn: wind, current_kn: current } = picture.environment;
    const weather = [`VIS ${sight.toFixed(1)} NM`, `WIND ${wind.toFixed(0)} kn`, `CURRENT ${current.toFixed(1)} kn`];
    weather.forEach((text, row) => this.label(text, [10, height - 44 + 16 * row], COLOURS.ringText));
    this.label(`CPA ${picture.cpa_limit_nm} NM`, [width - 10, height - 12], COLOURS.limit, "right");
  }
}
