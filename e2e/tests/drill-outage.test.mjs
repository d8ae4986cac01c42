import { drill } from '../drills/outage.mjs';
import { testShort } from '../drills/short.mjs';

await testShort(import.meta.filename, drill);
