// What every page of the site runs; a deferred script, so the page is there already.

import { mountQuiz } from "./quiz/index.js";

mountQuiz();
