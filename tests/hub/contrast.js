// How much an element's text stands out from what is behind it: WCAG 2's contrast ratio, 1 to 21.
(element) => {
  const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  let behind = element;
  let back = parts(getComputedStyle(behind).backgroundColor);
  while (back.length === 4 && back[3] === 0 && behind.parentElement) {
    behind = behind.parentElement;
    back = parts(getComputedStyle(behind).backgroundColor);
  }
  const [a, b] = [light(parts(getComputedStyle(element).color)), light(back)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}
