// "With N seats you would have had D denials", while the slider moves. Without a script the form asks the server.
"use strict";
(() => {
  const form = document.querySelector("[data-what-if]");
  if (!form) return;
  const { least, most, answers } = JSON.parse(form.dataset.whatIf);
  const number = form.querySelector("input[type=number]");
  const slider = form.querySelector("input[type=range]");
  const answer = document.getElementById("answer");
  slider.hidden = false;
  form.querySelector("button").hidden = true;

  const say = (seats) => {
    if (seats >= least && seats <= most) answer.textContent = answers[seats - least];
  };
  slider.addEventListener("input", () => {
    number.value = slider.value;
    say(Number(slider.value));
  });
  number.addEventListener("input", () => {
    const seats = Number(number.value);
    if (number.value === "" || seats < least || seats > most) {
      form.querySelector("button").hidden = false; // beyond what is known here
      return;
    }
    slider.value = number.value;
    say(seats);
  });
})();
