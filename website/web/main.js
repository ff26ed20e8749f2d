// What every page of the site runs; a deferred script, so the page is there already.

import { mountDemos } from "./demos/index.js";
import { mountPrinting } from "./print.js";
import { mountQuiz } from "./quiz/index.js";
import { mountTerms } from "./terms.js";

mountPrinting();
mountQuiz();
mountTerms();
mountDemos();
