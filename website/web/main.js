/** The site's script: the live demos. */

import { mountDemos } from "./demos/index.js";

mountDemos();
