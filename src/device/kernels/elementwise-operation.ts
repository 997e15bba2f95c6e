/** Element-wise operations as they are described, before anything is known of their operands. */

import type { DType } from "../../host/dtype.ts";
import type { Layout } from "../../host/layout.ts";
import type { Parameter } from "../../shaders/binding.ts";
import type { AnyTensor, Placer } from "../executor.ts";

/** An operation on elements, whatever their dtypes and layouts. */
export interface ElementwiseOperation {
  readonly label: string;
  readonly inputs: readonly string[];
  readonly parameters: readonly Parameter[];
  /** WGSL over the inputs' names, given their dtypes: an expression, or a body that returns. */
  readonly text: (
    dtypes: readonly DType[],
    output: DType,
  ) => { readonly expression?: string; readonly body?: string };
  readonly isUserDefined: boolean;
}

/** What one use of an operation is given. */
export interface ElementwiseUse {
  readonly inputs: readonly AnyTensor[];
  readonly output: DType;
  /** One value for each of the operation's parameters. */
  readonly values?: readonly number[];
  readonly label?: string | undefined;
  /** The shape of an operation without inputs. */
  readonly layout?: Layout;
  /** An existing tensor to write into, of the broadcast shape. */
  readonly target?: AnyTensor;
  /** Whether the target is a run of whole groups of four elements, or the end of its memory. */
  readonly isRun?: boolean;
}

/** What runs them. */
export interface ElementwiseRunner {
  run(operation: ElementwiseOperation, use: ElementwiseUse, placer: Placer): AnyTensor;
}
