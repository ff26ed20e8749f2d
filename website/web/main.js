// The script of every page. It is deferred, so the page is already parsed.

import { mountDemos } from "./demos/index.js";
import { mountPrinting } from "./print.js";
import { mountQuiz } from "./quiz/index.js";
import { mountTerms } from "./terms.js";

mountPrinting();
mountQuiz();
mountTerms();
mountDemos();
