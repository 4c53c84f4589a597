// The optional 3-D view: NiiVue, served by this machine. Throws where it or WebGL 2 is missing.

let viewer = null;

export function possible() { return Boolean(document.createElement("canvas").getContext("webgl2")); }

export async function showSolid(canvas, api, id) {
  if (!viewer) {
    const { Niivue } = await import(`${api}/viewer_3d.js`);
    viewer = new Niivue({ backColor: [0, 0, 0, 1], show3Dcrosshair: false, isOrientCube: true });
    await viewer.attachToCanvas(canvas);
  }
  const answer = await fetch(`${api}/cases/${id}/volume.nii`, { cache: "no-store" });
  if (!answer.ok) throw new Error((await answer.json()).message);
  while (viewer.volumes.length) viewer.removeVolume(viewer.volumes[0]);
  await viewer.loadFromArrayBuffer(await answer.arrayBuffer(), "volume.nii");
  const [volume] = viewer.volumes;
  Object.assign(volume, { cal_min: 100, cal_max: 800 }); // HU: bone and vessels
  viewer.setSliceType(viewer.sliceTypeRender);
  viewer.updateGLVolume();
  canvas.dataset.drawn = id;
}
