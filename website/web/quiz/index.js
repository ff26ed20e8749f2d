// Questions in the page, and the progress that they record.

import { mountProgress } from "./panel.js";
import { mountQuestions } from "./questions.js";

export function mountQuiz() {
  mountQuestions();
  mountProgress();
}
