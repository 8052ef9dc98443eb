// Elements, made without ever parsing text as HTML: whatever the cluster says
// lands in text nodes and attributes only.

const svgSpace = "http://www.w3.org/2000/svg";

export const byID = (id) => document.getElementById(id);

// h makes an HTML element. Attributes that begin with "on" are listeners; null
// and undefined ones are left out, as are such children.
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

// s does the same for SVG.
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(svgSpace, tag), attributes, children);
}

function fill(element, attributes, children) {
  set(element, attributes);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === null || value === undefined) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
  }
}

// keyed keeps one child of a parent for each item: new ones are made, old ones
// updated in place, so that focus and hover survive, and the rest removed.
export function keyed(parent, known, items, key, make, update) {
  const seen = new Set();
  for (const item of items) {
    const id = key(item);
    seen.add(id);
    if (!known.has(id)) {
      known.set(id, make(item));
      parent.append(known.get(id));
    }
    update(known.get(id), item);
  }
  for (const [id, element] of known) {
    if (seen.has(id)) continue;
    element.remove();
    known.delete(id);
  }
}
