// A page of /learn: the fault of a step, run in a toy, as often as one likes.
import { FAULTS } from "./learn/faults.js";
import { pictureOf } from "./learn/picture.js";

document.documentElement.classList.add("js");
const form = document.getElementById("toy");
const stage = document.getElementById("stage");
const { value, shown } = form.elements;
const { story, knob } = FAULTS[form.dataset.step];

const show = () => {
  shown.value = `${value.value} ${knob.unit}`.trim();
};
value.addEventListener("input", show);
show();

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const mended = event.submitter?.value === "mend";
  const picture = pictureOf(story({ mended, value: Number(value.value) }));
  stage.replaceChildren(picture);
  document.getElementById("told").textContent = picture.querySelector("figcaption").textContent;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (still) return;
  picture.querySelectorAll(".moments > li").forEach((moment, i) => {
    moment.animate?.([{ opacity: 0 }, { opacity: 1 }], { duration: 200, delay: 120 * i, fill: "backwards" });
  });
});
