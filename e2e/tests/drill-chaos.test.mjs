import { drill } from '../drills/chaos.mjs';
import { testShort } from '../drills/short.mjs';

await testShort(import.meta.filename, drill);
