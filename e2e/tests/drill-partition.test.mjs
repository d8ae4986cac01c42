import { drill } from '../drills/partition.mjs';
import { testShort } from '../drills/short.mjs';

await testShort(import.meta.filename, drill);
