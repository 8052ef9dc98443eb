// Pan and zoom of the map.

const least = 0.15;
const most = 2.5;

export function newCamera(svg, world) {
  const camera = { x: 0, y: 0, zoom: 1, moved: false };
  const apply = () => world.setAttribute("transform", `translate(${camera.x} ${camera.y}) scale(${camera.zoom})`);

  // fit shows all of an area, unless the user has moved the map on his own.
  camera.fit = (area, forced = false) => {
    if (camera.moved && !forced) return;
    const { width, height } = svg.getBoundingClientRect();
    if (!area.width || !width) return;
    const margin = { side: 40, top: 28, bottom: 76 }; // the legend is below
    camera.zoom = Math.max(least, Math.min(1.15, (width - 2 * margin.side) / area.width, (height - margin.top - margin.bottom) / area.height));
    camera.x = (width - area.width * camera.zoom) / 2;
    camera.y = margin.top + (height - margin.top - margin.bottom - area.height * camera.zoom) / 2;
    camera.moved = false;
    apply();
  };

  camera.zoomBy = (factor, at) => {
    const { left, top, width, height } = svg.getBoundingClientRect();
    const x = at ? at.clientX - left : width / 2;
    const y = at ? at.clientY - top : height / 2;
    const zoom = Math.max(least, Math.min(most, camera.zoom * factor));
    camera.x = x - (x - camera.x) * (zoom / camera.zoom);
    camera.y = y - (y - camera.y) * (zoom / camera.zoom);
    camera.zoom = zoom;
    camera.moved = true;
    apply();
  };

  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    camera.zoomBy(Math.exp(-event.deltaY * 0.0015), event);
  }, { passive: false });
  drag(svg, (dx, dy) => {
    camera.x += dx;
    camera.y += dy;
    camera.moved = true;
    apply();
  });
  return camera;
}

// drag tells by how much the pointer moved with its button held.
function drag(svg, onMove) {
  let last = null;
  svg.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && !event.target.closest("[role=button]")) last = event;
  });
  svg.addEventListener("pointermove", (event) => {
    if (!last) return;
    svg.classList.add("dragging");
    svg.setPointerCapture(event.pointerId);
    onMove(event.clientX - last.clientX, event.clientY - last.clientY);
    last = event;
  });
  const end = () => {
    last = null;
    svg.classList.remove("dragging");
  };
  svg.addEventListener("pointerup", end);
  svg.addEventListener("pointercancel", end);
}
