// How the search orders its hits: the guide before the reference, the reference before what developers read.
// tests/docs/test_search.py reads the table below; keep it JSON.
const PLACES = {
  "user_guide/": 4,
  "faq": 3,
  "coming_from/": 3,
  "quickstart": 3,
  "getting_started": 3,
  "gallery/": 2,
  "generated/sklearn_mtae.nn.": -2,
  "development/": -2,
  "changelog": -6,
  "sg_execution_times": -9
};

var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
  score: ([docname, title, anchor, descr, score]) => {
    const place = Object.keys(PLACES).find((start) => docname.startsWith(start));
    return score + (place === undefined ? 0 : PLACES[place]);
  },
};
