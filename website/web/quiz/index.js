// Activates the questions and the progress displays of a page.

import { mountProgress } from "./panel.js";
import { mountQuestions } from "./questions.js";

export function mountQuiz() {
  mountQuestions();
  mountProgress();
}
