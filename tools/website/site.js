// What scrolls can be reached by the keyboard.
for (const region of document.querySelectorAll(".md-typeset__scrollwrap, .md-sidebar__scrollwrap")) region.tabIndex = 0;
document$?.subscribe(() => {
  for (const region of document.querySelectorAll(".md-typeset__scrollwrap")) region.tabIndex = 0;
});
